"""The rows of Spotify's exports: read, told apart, matched with plays; pure."""
