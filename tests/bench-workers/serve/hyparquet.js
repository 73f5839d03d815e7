// A careful reader in JavaScript: hyparquet over the same table. It is told where the row lies, as Firn's ledger tells it,
// and pays nothing for that. Held are the footer and the page indexes of each file; columns are read by their offset
// index, reads of one turn that lie close are one, and the key of the row found is compared.
import { parquetMetadata, parquetReadObjects } from "hyparquet";
import { compressors } from "hyparquet-compressors";

const COLUMNS = ["ns", "type", "id", "version", "visibility", "owner_iss", "owner_org", "owner_sub", "deleted", "expires_at", "ts", "mode", "markdown"];
const FOOTER_LEN_BYTES = 8;
const GAP_LEN_BYTES_MAX = 16 * 1024;

const held = new Map();

async function read(bucket, path, range) {
  const object = await bucket.get(path, { range });
  return { bytes: await object.arrayBuffer(), size: object.size };
}

/** Metadata, and all bytes from the first index on. */
async function open(bucket, path) {
  if (held.has(path)) return held.get(path);
  const tail = await read(bucket, path, { suffix: FOOTER_LEN_BYTES });
  const metadataLength = new DataView(tail.bytes).getUint32(0, true);
  const footer = await read(bucket, path, { suffix: metadataLength + FOOTER_LEN_BYTES });
  const metadata = parquetMetadata(footer.bytes);
  const columns = metadata.row_groups.flatMap((group) => group.columns);
  const offsets = columns.flatMap((column) => [column.column_index_offset, column.offset_index_offset]).filter((offset) => offset !== undefined);
  const from = Math.min(...offsets.map(Number), footer.size - footer.bytes.byteLength);
  const indexes = await read(bucket, path, { offset: from, length: footer.size - from });
  const file = { metadata, size: footer.size, from, bytes: indexes.bytes };
  held.set(path, file);
  return file;
}

/** Reads ranges; those that are asked for in one turn and lie close are one read. */
function sliced(bucket, path, { size, from, bytes }) {
  let wanted = [];
  const flush = () => {
    const ranges = wanted.sort((a, b) => a.start - b.start);
    wanted = [];
    for (let idx = 0; idx < ranges.length; ) {
      const group = [ranges[idx++]];
      let end = group[0].end;
      while (idx < ranges.length && ranges[idx].start - end <= GAP_LEN_BYTES_MAX) {
        end = Math.max(end, ranges[idx].end);
        group.push(ranges[idx++]);
      }
      const { start } = group[0];
      const reading = read(bucket, path, { offset: start, length: end - start });
      for (const range of group) range.done(reading.then((got) => got.bytes.slice(range.start - start, range.end - start)));
    }
  };
  const slice = (start, end = size) => {
    if (start >= from) return bytes.slice(start - from, end - from);
    if (wanted.length === 0) queueMicrotask(() => queueMicrotask(flush));
    return new Promise((done) => wanted.push({ start, end, done }));
  };
  return { byteLength: size, slice };
}

export default {
  async fetch(request, env) {
    const { path, row, ns, type, id } = JSON.parse(decodeURIComponent(request.headers.get("place")));
    const opened = await open(env.LAKE_BUCKET, path);
    const file = sliced(env.LAKE_BUCKET, path, opened);
    const options = { columns: COLUMNS, rowStart: row, rowEnd: row + 1, useOffsetIndex: true };
    const [found] = await parquetReadObjects({ file, metadata: opened.metadata, compressors, ...options });
    if (found?.ns !== ns || found.type !== type || found.id !== id) return new Response("another row", { status: 500 });
    if (found.visibility !== "public" || found.deleted) return new Response("not found", { status: 404 });
    const headers = { "Content-Type": "text/markdown; charset=utf-8", "Cache-Control": "public, max-age=300", ETag: `"${found.version}.md"` };
    return new Response(found.markdown, { headers });
  },
};
