"""HTTP in: the Flask front end."""
