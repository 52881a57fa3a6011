"""Days of traffic in seconds: the policy of the router, and others, on traces made from a seed."""
