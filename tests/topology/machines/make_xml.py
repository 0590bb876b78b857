#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Writes hwloc XML of a machine that does not exist: make_xml.py SYNTHETIC PACKAGE=KIND:NAME,... > machine.xml

Example: make_xml.py 'pack:2 [numa] l3:1 core:4 pu:1' 0=net:eth0,gpu:gpu0 1=net:eth1. lstopo writes the processors,
this script hangs PCI devices below the packages."""
import subprocess
import sys
import xml.etree.ElementTree as ET

KINDS = {"net": ("0200", "15b3:101b", "2"), "gpu": ("0302", "10de:2330", "1")}


def main():
    written = subprocess.run(["lstopo-no-graphics", "-i", sys.argv[1], "--if", "synthetic", "--of", "xml"],
                             check=True, capture_output=True, text=True).stdout
    root = ET.fromstring(written)
    packages = [o for o in root.iter("object") if o.get("type") == "Package"]
    number = max(int(o.get("gp_index")) for o in root.iter("object"))
    for info in [i for o in root.iter("object") for i in list(o) if i.tag == "info"]:
        for o in root.iter("object"):
            if info in list(o):
                o.remove(info)  # who wrote it, and when, is nobody's business
    bus = 0x10

    def add(parent, **attributes):
        nonlocal number
        number += 1
        return ET.SubElement(parent, "object", gp_index=str(number), **attributes)

    for spec in sys.argv[2:]:
        package, devices = spec.split("=", 1)
        bridge = add(packages[int(package)], type="Bridge", bridge_type="0-1", depth="0",
                     bridge_pci="0000:[%02x-%02x]" % (bus, bus + 15))
        for device in devices.split(","):
            kind, name = device.split(":")
            pci_class, vendor, os_type = KINDS[kind]
            pci = add(bridge, type="PCIDev", pci_busid="0000:%02x:00.0" % bus, pci_link_speed="15.75",
                      pci_type="%s [%s] [0000:0000] 00" % (pci_class, vendor))
            bus += 1
            add(pci, type="OSDev", name=name, osdev_type=os_type)
    print('<?xml version="1.0" encoding="UTF-8"?>\n<!DOCTYPE topology SYSTEM "hwloc2.dtd">')
    print(ET.tostring(root, encoding="unicode"))


main()
