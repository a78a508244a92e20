"""What happened and what is wrong, told to people and machines: text, JSON, log lines, metrics, health."""
