// Validates the custom resources in HOME/documents.json against their definitions' schemas (values, by the compiled validators) and types
// (unknown keys, by the TypeScript compiler); prints the faults as a JSON list. HOME/node_modules holds the packages.
import { readFileSync, writeFileSync } from "node:fs";
import { join, resolve } from "node:path";
import { pathToFileURL } from "node:url";

const home = resolve(process.argv[2]);
const PACKAGES = {
  "gateway.networking.k8s.io": "gateway-api",
  "keda.sh": "keda",
  "monitoring.coreos.com": "prometheus-operator",
};
const documents = JSON.parse(readFileSync(join(home, "documents.json"), "utf8"));
const moduleOf = (each) => `@kubernetes-models/${PACKAGES[each.apiVersion.split("/")[0]]}/${each.apiVersion}/${each.kind}`;
const faults = [];

for (const each of documents) {
  const found = await import(pathToFileURL(join(home, "node_modules", `${moduleOf(each)}.js`)));
  try {
    new found[each.kind](each).validate();
  } catch (error) {
    faults.push(`${each.kind} ${each.metadata.name}: ${error.message}`);
  }
}

const source = documents.map(
  (each, at) => `import type { I${each.kind} as T${at} } from "${moduleOf(each)}";\nexport const d${at}: T${at} = ${JSON.stringify(each)};\n`,
);
const file = join(home, "documents.ts");
writeFileSync(file, source.join(""));
const { default: ts } = await import(pathToFileURL(join(home, "node_modules/typescript/lib/typescript.js")));
const options = {
  noEmit: true,
  strict: true,
  skipLibCheck: true,
  types: [],
  target: ts.ScriptTarget.ES2022,
  module: ts.ModuleKind.NodeNext,
  moduleResolution: ts.ModuleResolutionKind.NodeNext,
};
for (const fault of ts.getPreEmitDiagnostics(ts.createProgram([file], options))) {
  faults.push(ts.flattenDiagnosticMessageText(fault.messageText, " "));
}
console.log(JSON.stringify(faults));
