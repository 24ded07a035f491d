"""The Spotify Web API: one patient client, and the grants that let it ask for a user."""
