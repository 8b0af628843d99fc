"""What every port is made of: one module per technology. Only bootstrap and connections import these."""
