/** One metric family of an OpenMetrics exposition, as it was written. */
export interface Family {
  readonly name: string;
  readonly type: string;
  readonly help: string;
  readonly unit: string | undefined;
  readonly samples: readonly { readonly name: string; readonly labels: Readonly<Record<string, string>>; readonly value: number }[];
}

const LINE = /^([a-zA-Z_:][a-zA-Z0-9_:]*)(?:\{(.*)\})? (\S+)(?: \S+)?(?: # .*)?$/;
const LABEL = /([a-zA-Z_][a-zA-Z0-9_]*)="((?:[^"\\\n]|\\["\\n])*)"(?:,|$)/y;

/** Reads OpenMetrics text strictly (OpenMetrics 1.0, "text format"): throws at the first line that does not belong. */
export function readExposition(text: string): readonly Family[] {
  const families: { name: string; type: string; help: string; unit: string | undefined; samples: Family["samples"][number][] }[] = [];
  const lines = text.split("\n");
  if (lines.at(-1) !== "" || lines.at(-2) !== "# EOF") throw new Error("the text does not end in # EOF and a line feed");
  for (const line of lines.slice(0, -2)) {
    const [, word, name = "", rest = ""] = /^# (HELP|TYPE|UNIT) (\S+) (.*)$/.exec(line) ?? [];
    if (word !== undefined) {
      let family = families.at(-1);
      if (family?.name !== name) {
        if (families.some((one) => one.name === name)) throw new Error(`${name} is described twice`);
        families.push((family = { name, type: "", help: "", unit: undefined, samples: [] }));
      }
      if (word === "HELP") family.help = rest;
      else if (word === "TYPE") family.type = rest;
      else family.unit = rest;
      continue;
    }
    const found = LINE.exec(line);
    const family = families.at(-1);
    if (found === null || family === undefined) throw new Error(`no sample: ${line}`);
    const [, sample = "", labels = "", value = ""] = found;
    if (sample !== family.name && !sample.startsWith(`${family.name}_`)) throw new Error(`${sample} stands under ${family.name}`);
    family.samples.push({ name: sample, labels: readLabels(labels), value: Number(value.replace("Inf", "Infinity")) });
  }
  return families;
}

function readLabels(text: string): Readonly<Record<string, string>> {
  const labels: Record<string, string> = {};
  LABEL.lastIndex = 0;
  while (LABEL.lastIndex < text.length) {
    const found = LABEL.exec(text);
    if (found === null) throw new Error(`no labels: ${text}`);
    const [, name = "", value = ""] = found;
    if (name in labels) throw new Error(`the label ${name} stands twice`);
    labels[name] = value;
  }
  return labels;
}
