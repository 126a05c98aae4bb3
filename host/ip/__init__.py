"""The engine as an IP core: a folder with everything that other people's designs, tools and software need of it."""
