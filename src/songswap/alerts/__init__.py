"""What engineers are told on Discord; the messages are built here, Airflow's hook sends them."""
