"""Model domains on which claims are tested: polynomials, games, small networks, and a convolutional network on real digits."""
