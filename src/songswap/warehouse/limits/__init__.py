"""What Spotify allows the app: budgets, pauses, refused endpoints."""
