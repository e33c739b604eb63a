// node build.mjs TOOLS OUTPUT STACK HEAP ENTRY...: compiles an app in AssemblyScript and trims it for a
// device. TOOLS is the folder that package.json was installed in.

import { existsSync, readFileSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { fileURLToPath, pathToFileURL } from "node:url";

const [tools, output, stack, heap, ...entries] = process.argv.slice(2);
const load = (path) => import(pathToFileURL(join(tools, "node_modules", path)));
const { default: asc } = await load("assemblyscript/dist/asc.js");
const { default: binaryen } = await load("binaryen/index.js");
const here = dirname(fileURLToPath(import.meta.url));

const POINTER = "~lib/memory/__stack_pointer";

// For one page of data besides stack and heap. A device cuts memory off at __heap_base, so that none of it is
// wasted.
const PAGE = 65536;
const pages = 1 + Math.ceil((Number(stack) + Number(heap)) / PAGE);

let binary;
const { error, stderr } = await asc.main(
  [
    ...entries,
    "--outFile", "module.wasm",
    "--runtime", "lab/runtime",
    "--stackSize", stack,
    "--initialMemory", String(pages),
    "--use", `HEAP_SIZE=${heap}`,
    "--use", "abort=", // ends the app by "unreachable" instead of calling a host that has no such function
    "--optimizeLevel", "3", "--shrinkLevel", "2", "--noAssert",
    "--lowMemoryLimit", "65536", // else the first KiB stays empty
    "--debug", // for the names below
    "--exportStart", "_initialize", // devices call it first, within the app's budget of instructions
    "--noColors",
  ],
  {
    // What apps import as "lab/..." lies beside this file; all else is the app's own.
    readFile: (name, folder) => {
      const own = name.replace(/^node_modules\//, ""); // where the compiler looks for a package's files
      const path = own.startsWith("lab/") ? join(here, own.slice(4)) : join(folder, name);
      return existsSync(path) ? readFileSync(path, "utf8") : null;
    },
    writeFile: (_, contents) => { binary = contents; },
  },
);
process.stderr.write(stderr.toString());
if (error) process.exit(1);

const module = binaryen.readBinary(binary);
module.setFeatures(
  binaryen.Features.BulkMemory |
  binaryen.Features.SignExt |
  binaryen.Features.NontrappingFPToInt |
  binaryen.Features.MutableGlobals,
);
const layout = binaryen.getFunctionInfo(module.getFunction("lab/runtime/layout"));
const stackEnd = binaryen.getExpressionInfo(layout.body).value;
const dataEnd = stackEnd - Number(stack);

// AssemblyScript has no names with hyphens, and exports the memory manager for a host that the device is not.
for (let index = module.getNumExports() - 1; index >= 0; index--) {
  const { name, value } = binaryen.getExportInfo(module.getExportByIndex(index));
  if (name === "onCommand") module.addFunctionExport(value, "on-command");
  if (name === "onCommand" || value.startsWith("lab/runtime/")) module.removeExport(name);
}

// The device's runtime takes the first global that may change for the stack pointer and checks what is
// written to it, unless it begins at 0 (wasm_loader.c, "Resolve aux stack top global"): so that one stays.
module.addGlobalExport("lab/runtime/ready", "__stack_pointer");

module.runPasses(["remove-unused-module-elements"]);
const allocates = module.getFunction("lab/runtime/__new") !== 0;

binaryen.setOptimizeLevel(2);
binaryen.setShrinkLevel(2);
module.optimize();

// What is unused is not laid out.
const heapEnd = ((stackEnd + 7) & ~7) + Number(heap);
const end = allocates ? heapEnd : module.getGlobal(POINTER) ? stackEnd : dataEnd;
if (end > pages * PAGE) {
  process.stderr.write(`the app's data, stack and heap take ${end} bytes, more than ${pages * PAGE}\n`);
  process.exit(1);
}
for (const [name, value] of [["__heap_base", end], ["__data_end", dataEnd]]) {
  module.addGlobal(name, binaryen.i32, false, module.i32.const(value));
  module.addGlobalExport(name, name);
}
writeFileSync(output, module.emitBinary());
