"""The fault campaign: `python -m tests.campaign`. Kills, full disks, injected errors, and the laws after each.

    L1  nothing that a run did not make is gone or changed
    L2  the complete old or the complete new stages are there, right after the fault and after any next command
    L3  the same command again ends, with the bytes of an undisturbed run, and leaves nothing behind
    L6  a command that fails says so in one sentence, within seconds

It judges by what everybody sees: folders, exit statuses and standard error. Not part of pytest; CI runs a tenth of it.
"""
