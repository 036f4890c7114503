// Copies what pages and papers are made with from the npm packages into static/vendor, and makes the icon sprite.
// static/icons.txt names the icons, one outline icon of @tabler/icons a line; "#" starts a comment.
import { copyFileSync, existsSync, mkdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { basename, dirname, join } from "node:path";
import { fileURLToPath } from "node:url";

const root = join(dirname(fileURLToPath(import.meta.url)), "..");
const packages = join(root, "node_modules");
const target = join(root, "static", "vendor");
const list = join(root, "static", "icons.txt");

const files = [
  "htmx.org/dist/htmx.min.js",
  "@tabler/core/dist/css/tabler.min.css",
  "tom-select/dist/css/tom-select.bootstrap5.min.css",
  "tom-select/dist/js/tom-select.complete.min.js",
  "echarts/dist/echarts.simple.min.js",
];
// What receipts and invoices are set in (saas/pdf.py).
const fonts = [
  "@expo-google-fonts/noto-sans-sc/400Regular/NotoSansSC_400Regular.ttf",
  "@expo-google-fonts/noto-sans-sc/700Bold/NotoSansSC_700Bold.ttf",
];

function fail(message) {
  console.error(`!! ${message}`);
  process.exit(1);
}

function iconNames() {
  const lines = existsSync(list) ? readFileSync(list, "utf8").split("\n") : [];
  const names = lines.map((line) => line.replace(/#.*/, "").trim()).filter(Boolean);
  return [...new Set(names)].sort();
}

// The drawing of one icon, without the invisible 24 × 24 frame that every icon of the set begins with.
function symbol(name) {
  const file = join(packages, "@tabler", "icons", "icons", "outline", `${name}.svg`);
  if (!/^[a-z0-9-]+$/.test(name) || !existsSync(file)) {
    fail(`static/icons.txt: "${name}" is not an outline icon of @tabler/icons.`);
  }
  const drawing = readFileSync(file, "utf8")
    .replace(/^[\s\S]*?<svg[\s\S]*?>/, "")
    .replace(/<\/svg>\s*$/, "")
    .replace(/<path stroke="none" d="M0 0h24v24H0z" fill="none"\s*\/>/, "")
    .replace(/\s*\n\s*/g, "");
  return `<symbol id="${name}" viewBox="0 0 24 24">${drawing}</symbol>`;
}

rmSync(target, { recursive: true, force: true });
mkdirSync(target, { recursive: true });
for (const file of files) {
  // Source maps are not shipped, so neither is the line that makes a browser's tools ask for them.
  const text = readFileSync(join(packages, file), "utf8");
  writeFileSync(join(target, basename(file)), text.replace(/\n?(\/\/|\/\*)# sourceMappingURL=.*\s*$/, "\n"));
}
for (const font of fonts) {
  copyFileSync(join(packages, font), join(target, basename(font)));
}
const names = iconNames();
const sprite = `<svg xmlns="http://www.w3.org/2000/svg">\n${names.map(symbol).join("\n")}\n</svg>\n`;
writeFileSync(join(target, "icons.svg"), sprite);
console.log(`   ${files.length + fonts.length} files and ${names.length} icons`);
