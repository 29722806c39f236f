"""Device physics, arrays, converters and the engines that run a program on them."""
