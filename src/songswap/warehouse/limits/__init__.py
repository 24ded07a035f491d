"""What Spotify allows the app: budgets, pauses, blocked endpoints."""
