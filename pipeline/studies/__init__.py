"""Studies of the meta-gradients themselves: no meta-training but a short one to start from."""
