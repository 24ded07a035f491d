"""The page in Airflow's web interface, and the routes below ``/songswap`` of its api-server."""
