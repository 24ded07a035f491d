"""The Spotify Web API: one patient client, and the consent that lets it act for a user."""
