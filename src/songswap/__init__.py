"""The data plane of SongSwap-social: users' listening history from Spotify into a warehouse."""

__version__ = "0.2.0"
