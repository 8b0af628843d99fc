"""What every port is made of: one module per technology. Only bootstrap imports these."""
