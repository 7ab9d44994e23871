// Checks dashboards by Grafana's own types: node check.cjs MODULES DASHBOARD...
// Prints the compiler's errors and exits with 1, or prints the number of dashboards.

const fs = require('node:fs');
const path = require('node:path');
const [modules, ...dashboards] = process.argv.slice(2);
const ts = require(path.resolve(modules, 'typescript'));

// Types of a panel's options and of its fields, by the name of the panel.
const PANELS = { timeseries: 'timeseries', stat: 'stat', table: 'table', 'state-timeline': 'statetimeline' };
const FILES = {
  'grafana-schema-10': (name, title) => `grafana-schema-10/dist/esm/raw/composable/${name}/panelcfg/x/${title}PanelCfg_types.gen`,
  '@grafana/schema': (name, title) => `@grafana/schema/dist/esm/raw/composable/${name}/panelcfg/x/${title}PanelCfg_types.gen`,
};
const TITLES = { timeseries: 'TimeSeries', stat: 'Stat', table: 'Table', statetimeline: 'StateTimeline' };

// A JSON file has the value of a string enumeration; TypeScript needs its name.
const LOOSE =
  'type Loose<T> = T extends string ? `${T}` : T extends number | boolean | null | undefined ? T\n' +
  '  : unknown extends T ? T : T extends (infer U)[] ? Loose<U>[] : T extends object ? { [K in keyof T]: Loose<T[K]> } : T;\n';

// Grafana's defaults for a link; the types have no defaults.
const LINK = { asDropdown: false, icon: '', includeVars: false, keepTime: false, tags: [], tooltip: '', type: 'link' };

function source(file, schema) {
  const dashboard = JSON.parse(fs.readFileSync(file, 'utf8'));
  for (const panel of dashboard.panels.filter((panel) => panel.links)) {
    panel.links = panel.links.map((link) => ({ ...LINK, ...link }));
  }
  const lines = [`import type { Dashboard } from '${schema}';`, LOOSE];
  for (const name of Object.values(PANELS)) {
    lines.push(`import type * as ${name} from '${FILES[schema](name, TITLES[name])}';`);
  }
  lines.push(`export const dashboard: Loose<Dashboard> = ${JSON.stringify(dashboard, null, 1)};`);
  for (const panel of dashboard.panels.filter((panel) => panel.type !== 'row')) {
    const name = PANELS[panel.type];
    if (!name) throw new Error(`${file}: there are no types for ${panel.type}`);
    lines.push(`export const options${panel.id}: Loose<Partial<${name}.Options>> = ${JSON.stringify(panel.options)};`);
    const custom = panel.fieldConfig.defaults.custom;
    if (custom) {
      lines.push(`export const custom${panel.id}: Loose<Partial<${name}.FieldConfig>> = ${JSON.stringify(custom)};`);
    }
  }
  return lines.join('\n');
}

const files = new Map();
for (const schema of Object.keys(FILES)) {
  for (const dashboard of dashboards) {
    const name = `${schema.replace(/\W/g, '')}-${path.basename(dashboard, '.json')}.ts`;
    files.set(path.resolve(modules, '..', name), source(dashboard, schema));
  }
}
const options = {
  noEmit: true, strict: true, skipLibCheck: true, types: [], module: ts.ModuleKind.ESNext, target: ts.ScriptTarget.ES2022,
  moduleResolution: ts.ModuleResolutionKind.Bundler,
};
const host = ts.createCompilerHost(options);
const { getSourceFile, fileExists, readFile } = host;
host.getSourceFile = (name, version) =>
  files.has(name) ? ts.createSourceFile(name, files.get(name), version) : getSourceFile.call(host, name, version);
host.fileExists = (name) => files.has(name) || fileExists.call(host, name);
host.readFile = (name) => files.get(name) ?? readFile.call(host, name);
const program = ts.createProgram([...files.keys()], options, host);
const found = ts.getPreEmitDiagnostics(program);
if (found.length > 0) {
  console.log(ts.formatDiagnostics(found, { ...host, getCanonicalFileName: (name) => name }));
  process.exit(1);
}
console.log(`${files.size} read`);
