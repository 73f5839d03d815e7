// Evaluated before the Worker's own module: notes the memory of every wasm instance that it makes. Wasm memory never
// shrinks, so its length afterwards is the peak.
const memories = [];
const Instance = WebAssembly.Instance;

WebAssembly.Instance = class extends Instance {
  constructor(module, imports) {
    super(module, imports);
    memories.push(this.exports.memory);
  }
};

export const memoryLenBytes = () => Math.max(...memories.map((memory) => memory.buffer.byteLength));
