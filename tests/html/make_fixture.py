#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Writes fixture.json: a document of the schema gnomon.compare/2 with invented but plausible numbers.

usage: make_fixture.py COUNTERS.json >fixture.json, where COUNTERS.json is what
`gnomon counters --json` prints. The same numbers come out every time.
"""

import json
import math
import random
import sys

REFERENCES = {"fetch": 38_214_907, "load": 14_903_118, "store": 6_881_975}
TOTAL = sum(REFERENCES.values())
POINTS = 60
PRICES = {
    "reference": (1, "pipelined hit in the first-level TLB"),
    "tlb_hit_l2": (7, "Software Optimization Guide for AMD Family 19h, section 2.7"),
    "cache_guess": (14, "given: between L2 and the last level"),
    "guest_fault": (1800, "measured: page fault of a native Linux guest"),
    "invlpg": (220, "Agner Fog, instruction tables"),
    "cr3_load": (300, "Agner Fog, instruction tables"),
    "exit": (1500, "measured: CPUID exit on VT-x, kernel 6.1"),
    "handle_page_fault": (2300, "KVM, shadow page fault handling, perf"),
    "handle_table_write": (2900, "KVM, emulated page table write, perf"),
    "handle_nested_violation": (1700, "KVM, TDP fault, perf"),
    "shadow_fill": (160, "KVM, perf"),
    "sync": (900, "KVM, perf"),
}
# counter: (group, price) of a cost item
ITEMS = {
    "accesses": ("program", "reference"),
    "tlb_hits_l2": ("tlb", "tlb_hit_l2"),
    "guest_faults": ("guest_kernel", "guest_fault"),
    "invlpgs": ("guest_kernel", "invlpg"),
    "cr3_loads": ("guest_kernel", "cr3_load"),
    "shadow_fills": ("vmm_work", "shadow_fill"),
    "synced_pages": ("vmm_work", "sync"),
}
HANDLERS = {"exit_page_fault": "handle_page_fault", "exit_table_write": "handle_table_write",
            "exit_nested_violation": "handle_nested_violation"}
GROUPS = [
    ("program", "the program's own references"),
    ("tlb", "second-level TLB hits"),
    ("guest_walk", "reading guest page tables"),
    ("host_walk", "reading nested (EPT, NPT) tables"),
    ("shadow_walk", "reading shadow page tables"),
    ("guest_kernel", "the guest's own faults, invalidations and CR3 loads"),
    ("exits", "round trips to the VMM"),
    ("vmm_work", "what the VMM does about them"),
]


def backend(spec, rng):
    misses = 2_911_337 if spec != "vtlb" else 3_148_120
    c = {"accesses": TOTAL, "tlb_hits_l2": 4_204_775 + rng.randrange(9000), "tlb_misses": misses,
         "walks": misses, "guest_faults": 9_412, "cr3_loads": 1_204, "invlpgs": 2_318,
         "table_writes": 21_904, "frames_backed": 9_377}
    c["tlb_hits_l1"] = TOTAL - c["tlb_hits_l2"] - misses
    dimensions = {"native": ["guest"], "nested": ["guest", "host"], "agile": ["guest", "host", "shadow"]}
    for d in dimensions.get(spec.split(",")[0], ["shadow"]):
        share = {"guest": 1.0, "host": 1.9, "shadow": 1.0}[d]
        if spec == "agile":
            share *= {"guest": 0.14, "host": 0.2, "shadow": 0.9}[d]
        for level, part in ((1, 1.0), (2, 0.21), (3, 0.03), (4, 0.002)):
            c[f"walk_{d}_l{level}"] = int(misses * share * part)
    if spec.startswith("shadow") or spec == "vtlb" or spec == "agile":
        vtlb = spec == "vtlb"
        agile = spec == "agile"
        c["hidden_faults"] = 141_208 if vtlb else 8_911 if agile else 11_604
        c["reflected_faults"] = c["guest_faults"]
        c["exit_page_fault"] = c["hidden_faults"] + c["reflected_faults"]
        c["exit_cr3"] = 1_204
        c["exit_invlpg"] = 2_318
        c["exit_table_write"] = 0 if vtlb else 1_411 if agile else 8_902
        c["shadow_fills"] = c["hidden_faults"]
        c["shadow_pages_created"] = 3_318 if vtlb else 412
        c["unsync"] = 0 if vtlb else 1_733
        c["synced_pages"] = 0 if vtlb else 1_702
        c["table_bytes"] = 412 * 4096
        c["table_bytes_peak"] = 455 * 4096
    if spec == "nested" or spec == "agile":
        c["exit_nested_violation"] = 9_377
        c["nested_fills"] = 9_377
        c["table_bytes_peak"] = c["table_bytes"] = c.get("table_bytes", 0) + 41 * 4096
    return c


def cost(c):
    items = [{"name": name, "group": group, "count": c[name], "cycles": c[name] * PRICES[price][0]}
             for name, (group, price) in ITEMS.items() if c.get(name)]
    for d in ("guest", "host", "shadow"):
        for level in range(1, 6):
            n = c.get(f"walk_{d}_l{level}", 0)
            if n:
                items.append({"name": f"walk_{d}_l{level}", "group": f"{d}_walk", "count": n,
                              "cycles": n * PRICES["cache_guess"][0]})
    exits = 0
    for name in sorted(c):
        if name.startswith("exit_") and c[name]:
            trip = c[name] * PRICES["exit"][0]
            work = c[name] * PRICES[HANDLERS.get(name, "cr3_load")][0]
            items.append({"name": name, "group": "exits", "count": c[name], "cycles": trip})
            items.append({"name": name, "group": "vmm_work", "count": c[name], "cycles": work})
            exits += trip + work
    groups = {name: sum(i["cycles"] for i in items if i["group"] == name) for name, _ in GROUPS}
    return {"total": sum(groups.values()), "exits": exits, "groups": groups, "items": items}


def caches(c, rng):
    def split(n, shares):
        parts = [int(n * s) for s in shares]
        parts[0] += n - sum(parts)
        return parts
    walks = {d: sum(c.get(f"walk_{d}_l{level}", 0) for level in range(1, 6))
             for d in ("guest", "host", "shadow")}
    out = {d: split(n, (0.41, 0.37, 0.2, 0.02 + rng.random() / 100)) for d, n in walks.items()}
    out["data"] = split(TOTAL, (0.93, 0.05, 0.015, 0.005))
    return out


def series(c, priced, rng):
    """Points whose totals follow the counters, with two phases and some noise."""
    columns = [c["tlb_misses"], sum(v for k, v in c.items() if k.startswith("walk_")),
               sum(v for k, v in c.items() if k.startswith("exit_")), c["guest_faults"],
               c["table_writes"], priced["total"]]
    shape = [1.2 + math.sin(i / 7) + (3 * math.exp(-i / 4)) + 0.5 * rng.random() + (2 if 34 <= i < 40 else 0)
             for i in range(POINTS)]
    whole = sum(shape)
    flat = [1 / POINTS + (s / whole - 1 / POINTS) * 0.35 for s in shape]
    return [[int(n * (flat if k == 5 else [s / whole for s in shape])[i]) for k, n in enumerate(columns)]
            for i in range(POINTS)]


def main():
    with open(sys.argv[1], encoding="utf-8") as f:
        known = json.load(f)["counters"]
    rng = random.Random(7)
    specs = ["native", "shadow", "vtlb", "nested", "agile"]
    guest = {"faults_anonymous": 7_744, "faults_file": 1_216, "faults_cow": 452, "faults_rights": 0,
             "pages_mapped": 9_377, "pages_around": 1_820, "tables": 388, "entry_stores": 21_904,
             "forks": 3, "execs": 3, "context_switches": 1_201, "frames_peak": 9_981}
    rows = []
    points = []
    for spec in specs:
        c = backend(spec, rng)
        counters = {row["name"]: c.get(row["name"], 0) for row in known}
        rows.append({"spec": spec, "counters": counters, "guest": guest, "caches": caches(c, rng),
                     "cost": cost(c), "problems": []})
        points.append({"spec": spec, "points": series(c, rows[-1]["cost"], random.Random(11))})
    for row in rows:
        row["relative"] = row["cost"]["total"] / rows[0]["cost"]["total"]
    pairs = []
    for i, a in enumerate(rows):
        for b in rows[i + 1:]:
            exits = a["cost"]["exits"] - b["cost"]["exits"]
            fixed = (a["cost"]["total"] - a["cost"]["exits"]) - (b["cost"]["total"] - b["cost"]["exits"])
            factor = -fixed / exits if exits else None
            pairs.append({"a": a["spec"], "b": b["spec"],
                          "factor": factor if factor is not None and factor > 0 else None})
    document = {
        "schema": "gnomon.compare/2", "gnomon": "0.1.0",
        "traces": [{"name": "sort.gtrace", "format": "gtrace", "program": "sort -n numbers.txt",
                    "note": "GNU coreutils 9.1, 200,000 lines", "records": TOTAL, "events": 41}],
        "options": {"tlb": "zen4", "caches": "zen4", "cost": "vtx", "memory_bytes": 4 << 30,
                    "host_page": "4K", "vcpus": 1, "slice": 100000, "copies": 1, "skip": 0, "warmup": 0,
                    "limit": 0, "guest": {"thp": "never", "placement": "sequential", "kpti": False}},
        "cost_model": {"name": "vtx", "prices": [
            {"name": name, "unit": "cycles", "value": value, "source": source}
            for name, (value, source) in PRICES.items()]},
        "references": REFERENCES,
        "cost_groups": [{"name": name, "description": text} for name, text in GROUPS],
        "backends": rows,
        "counter_info": [{"name": row["name"], "unit": row["unit"], "group": "counters",
                          "description": row["description"]} for row in known],
        "break_even": pairs,
        "series": {"interval": 1_000_000,
                   "names": ["tlb_misses", "walk_references", "exits", "guest_faults", "table_writes",
                             "cycles"],
                   "backends": points},
    }
    json.dump(document, sys.stdout, separators=(",", ":"))
    print()


if __name__ == "__main__":
    main()
