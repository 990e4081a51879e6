"""Hosts: facts that /proc, /sys and nvidia-smi tell of this machine, and the energy that it takes.

psutil 7 knows counts, sizes and frequencies, but neither caches, sockets, memory modules nor what a machine is;
py-cpuinfo 9 starts a process of its own for a second. Both read these files.
"""
