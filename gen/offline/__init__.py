"""What can be said of a configuration without a proxy: pure functions over the model, for the commands that print."""
