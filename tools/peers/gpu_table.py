"""The table of scripts/gpu_check.sh, out of what its parts left in a folder.

usage: gpu_table.py FOLDER [--parts PART...] [--models MODEL...] [--json FILE]

A row is what was measured, the target, and met, missed or "not measured" with the reason. Targets are of one GPU in one
run; the roofline of a step is the slower of its operations at the rate of a large matrix product and its fewest bytes
(networks.py) at that of a copy, both measured in the same run.
"""
import argparse
import glob
import json
import os

MODELS = {"r2plus1d18": "16x112", "r3d18": "16x112", "r3d50": "16x224", "s3dg": "64x224"}
RIVALS = {"eager": "eager", "channels_last": "eager, channels-last", "compile": "compile", "max_autotune": "compile, max-autotune"}


def documents(path):
    """JSON documents, a line each; what a stopped program did not finish is passed over."""
    found = []
    if os.path.exists(path):
        with open(path, encoding="utf-8") as file:
            for line in file:
                try:
                    found.append(json.loads(line))
                except ValueError:
                    continue
    return found


def document(path):
    return next(iter(documents(path)), None)


class Table:
    def __init__(self, folder):
        self.folder, self.rows, self.curve = folder, [], []
        self.lacks = {(lack["part"], lack["name"]): lack["why"] for lack in documents(self.path("lacks.jsonl"))}

    def path(self, name):
        return os.path.join(self.folder, name)

    def why(self, part, *names):
        reasons = [self.lacks[part, name] for name in names if (part, name) in self.lacks]
        return reasons[0] if reasons else "its program left nothing"

    def add(self, part, row, measured, target="", met=None, value=None):
        verdict = "" if met is None else "met" if met else "missed"
        self.rows.append({"part": part, "row": row, "measured": measured, "target": target, "verdict": verdict, "value": value})

    def lack(self, part, row, target, why, measured=""):
        self.rows.append({"part": part, "row": row, "measured": measured, "target": target, "verdict": "not measured: " + why, "value": None})

    # one function a part

    def tests(self):
        reports = sorted(glob.glob(self.path("*_tests.json")))
        named = {os.path.basename(report).removesuffix(".json") for report in reports}
        for part, name in self.lacks:
            if part == "tests" and name not in named:
                self.lack("tests", name, "all pass", self.lacks[part, name])
        for report in reports:
            name = os.path.basename(report).removesuffix(".json")
            with open(report, encoding="utf-8") as file:
                suites = json.load(file)["testsuites"]
            cases = [case for suite in suites for case in suite["testsuite"]]
            failed = [f"{case['classname']}.{case['name']}" for case in cases if case.get("failures")]
            skipped = [case for case in cases if case.get("result") == "SKIPPED"]
            text = f"{len(cases) - len(failed) - len(skipped)} passed" + (f", failed: {', '.join(failed)}" if failed else "")
            if not cases or (skipped and not failed):
                self.lack("tests", name, "all pass", f"{len(skipped)} of {len(cases)} were skipped", text)
                continue
            self.add("tests", name, text, "all pass", not failed and ("tests", name) not in self.lacks, len(failed))

    def render(self):
        lines = documents(self.path("render.jsonl"))
        ours = [line for line in lines if "share_of_copy" in line]
        theirs = {(line["case"], line["type"]): line for line in lines if "peer" in line}
        if not ours:
            self.lack("render", "bandwidth", ">= 70 %", self.why("render", "cstp"))
        for line in ours:
            share, name = line["share_of_copy"], f"{line['case']}, {line['type']}"
            self.add("render", name, f"{line['views_per_second']:,.0f} views/s, {share:.0%} of a copy's bandwidth", ">= 70 %", share >= 0.7, share)
            if "largest_difference" in line:
                apart = 255 * line["largest_difference"]
                self.add("render", name + ", beside the CPU body", f"at most {apart:.2g}/255 apart", "<= 1/255", apart <= 1, apart)
        for line in ours:
            if not (line["case"].startswith("cvrl") and line["type"] == "bf16"):
                continue
            row, target = f"{line['case']}, bf16, torchvision v2", ">= 5 times"
            their = theirs.get((line["case"], line["type"]))
            if their is None:
                self.lack("render", row, target, self.why("render", "torchvision"))
                continue
            ratio = line["views_per_second"] / their["views_per_second"]
            self.add("render", row, f"{ratio:.2f} times as fast", target, ratio >= 5, ratio)

    def step(self, models):
        machine, floors, ours, theirs = {}, {}, {}, {}
        for line in documents(self.path("step.jsonl")):
            if line["kind"] == "machine":
                machine = line
            elif line["kind"] == "floor":
                floors[line["model"]] = line["bytes_per_clip"]
            elif line["who"] == "ours":
                ours[line["model"]] = line | {"gemm": machine["gemm_flops_per_second"], "copy": machine["copy_bytes_per_second"]}
            else:
                theirs[line["model"], line["variant"]] = line
        for model in models:
            self.step_of(model, ours.get(model), {v: theirs.get((model, v)) for v in RIVALS}, floors.get(model))

    def step_of(self, model, line, theirs, floor):
        name = f"{model} {MODELS[model]}"
        why = self.why("step", model + "_without_graph", model)
        if line is None:
            self.lack("step", name, ">= 2 times eager, >= 1.3 times compile", why)
            return
        rate = line["clips_per_second"]
        self.add("step", name, f"{rate:,.0f} clips/s, batch {line['batch']}{', CUDA graph' if line['cuda_graph'] else ''}", value=rate)
        for variant, target in (("eager", None), ("channels_last", 2), ("compile", None), ("max_autotune", 1.3)):
            row, wanted = f"{name}, {RIVALS[variant]}", f">= {target} times" if target else ""
            their = theirs[variant]
            if their is None or "error" in their:
                self.lack("step", row, wanted, their["error"] if their else why)
                continue
            ratio = their["ratio_wall"]
            self.add("step", row, f"{ratio:.2f} times as fast (it: {their['clips_per_second']:,.0f} clips/s)", wanted, ratio >= target if target else None, ratio)
        share = line["gemm_fraction"]
        self.add("step", name + ", share of the matrix rate (MFU)", f"{share:.0%} of {line['gemm'] / 1e12:,.0f} TFLOP/s", ">= 40 %", share >= 0.4, share)
        if floor is None:
            self.lack("step", name + ", share of the roofline", ">= 70 %", self.why("step", model + "_bytes"))
        else:
            by_bytes, by_work = line["copy"] / floor, line["gemm"] / (line["flops_per_step"] / line["batch"])
            roof, bound = min((by_bytes, "bytes"), (by_work, "operations"))
            self.add("step", name + ", share of the roofline", f"{rate / roof:.0%} of {roof:,.0f} clips/s ({bound})", ">= 70 %", rate / roof >= 0.7, rate / roof)
        peaks = {RIVALS[v]: their["peak_bytes"] for v, their in theirs.items() if their and "error" not in their}
        if not peaks:
            self.lack("step", name + ", peak memory", "<= theirs", why)
            return
        least = min(peaks, key=peaks.get)
        self.add("step", name + ", peak memory", f"{line['peak_bytes'] / 1e9:.2f} GB; theirs: {peaks[least] / 1e9:.2f} ({least})", "<= theirs",
                 line["peak_bytes"] <= peaks[least], line["peak_bytes"])

    def decode(self):
        for size in ("240p", "720p"):
            cpu, gpu = (document(self.path(f"decode_{size}_{by}.json")) for by in ("cpu", "cuda"))
            for by, found in (("cpu", cpu), ("cuda", gpu)):
                row = f"{size} H.264, {'NVDEC' if by == 'cuda' else 'CPU'}"
                if found is None:
                    self.lack("decode", row, "", self.why("decode", f"{by}_{size}", by, "cpu"))
                    continue
                rate = found["clips_per_second"]
                beside = f", {rate / cpu['clips_per_second']:.2f} times the CPU's" if by == "cuda" and cpu else ""
                by_gpu = found.get("clips_by_gpu", found["clips"]) if by == "cuda" else 0
                fell = f", but only {by_gpu} of {found['clips']} by the GPU" if by == "cuda" and by_gpu < found["clips"] else ""
                self.add("decode", row, f"{rate:,.0f} clips/s, {found['threads']} threads{beside}{fell}", value=rate)

    def train(self):
        lines, result = documents(self.path("train_metrics.jsonl")), document(self.path("train.json"))
        kept = ("step", "seconds", "clips_per_second", "loss", "accuracy_spatial", "accuracy_temporal")
        self.curve = [{key: line.get(key) for key in kept} for line in lines[:: max(1, len(lines) // 50)]]
        later = lines[len(lines) // 5 :]  # the first fifth warms up
        if len(later) < 2:
            why = self.why("train", "videos", "packing", "trial", "run")
            for row, target in (("steady throughput", ""), ("waiting for data", "< 5 %"), ("loss", ""), ("overlap accuracy", "")):
                self.lack("train", row, target, why)
        else:
            rates = sorted(line["clips_per_second"] for line in later)
            rate = rates[len(rates) // 2]
            self.add("train", "steady throughput", f"{rate:,.0f} clips/s over {result['steps'] if result else lines[-1]['step']} steps", value=rate)
            stages = ("wait", "gather", "forward", "backward", "update", "rest")
            share = sum(line["stages"]["wait"] for line in later) / sum(line["stages"][s] for line in later for s in stages)
            self.add("train", "waiting for data", f"{share:.1%} of a step", "< 5 %", share < 0.05, share)
            for key, name in (("loss", "loss"), ("accuracy_spatial", "spatial overlap accuracy"), ("accuracy_temporal", "temporal overlap accuracy")):
                first, last = lines[0].get(key), lines[-1].get(key)
                if first is not None and last is not None:
                    self.add("train", name, f"{first:.3f} -> {last:.3f}", value=last)
        self.lack("train", "contrastive loss and heads", "< 3 %", "no program times them apart; take a profile of the run")


def show(machine, rows):
    if machine:
        print(f"{machine['gpu']}, {machine['memory_bytes'] / 2**30:.0f} GiB, driver {machine['driver']}, {machine['cores']} cores; torch {machine['torch']}, "
              f"cuDNN {machine['cudnn']}, torchvision {machine['torchvision']}, NVDEC's library: {'yes' if machine['nvdec'] else 'no'}")
        print(f"measured now: bf16 matrix product {machine['gemm_flops_per_second'] / 1e12:,.0f} TFLOP/s, copy {machine['copy_bytes_per_second'] / 1e12:.2f} TB/s\n")
    print("| part | row | measured | target | |\n|---|---|---|---|---|")
    for row in rows:
        print(f"| {row['part']} | {row['row']} | {row['measured']} | {row['target']} | {row['verdict']} |")
    counts = [sum(row["verdict"].startswith(verdict) for row in rows) for verdict in ("met", "missed", "not measured")]
    print("\n{} targets met, {} missed, {} rows not measured".format(*counts))


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("folder")
    parser.add_argument("--parts", nargs="+", default=["tests", "render", "decode", "step", "train"])
    parser.add_argument("--models", nargs="+", default=list(MODELS))
    parser.add_argument("--json", default="")
    options = parser.parse_args()
    table = Table(options.folder)
    for part in options.parts:
        if part == "step":
            table.step(options.models)
        else:
            getattr(table, part)()
    machine = document(table.path("machine.json"))
    show(machine, table.rows)
    if options.json:
        with open(options.json, "w", encoding="utf-8") as file:
            json.dump({"machine": machine, "rows": table.rows, "training": table.curve}, file, indent=1)


if __name__ == "__main__":
    main()
