// Says hello, and that it is still there.
import { log } from "lab/device";

export function init(): u32 {
  log.write(log.Level.Info, "hello from WebAssembly");
  return 1000; // ms until poll() is called, and between its calls
}

export function poll(): void {
  log.write(log.Level.Info, "still here");
}
