"""DMA: regions of memory read and results written over AXI4, descriptors, and beats cut into words."""
