"""The benchmark: Bilocate against QEMU's synchronous mirror, nbdkit, qemu-nbd and itself. `make bench` runs it."""
