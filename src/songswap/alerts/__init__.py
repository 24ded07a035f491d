"""Messages for the engineers on Discord; `songswap.orchestration.discord` sends them."""
