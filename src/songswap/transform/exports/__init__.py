"""Turn the files of Spotify's exports into streams, and match them with plays. Pure."""
