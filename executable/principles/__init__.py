"""The principles of Sec. IV as property tests that any attribution function can be put through."""
