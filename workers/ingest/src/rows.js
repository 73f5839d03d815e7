// Rows out of wasm to the objects that a stream's binding takes.

// A text may begin with U+FEFF, which is then the caller's.
const decoder = new TextDecoder("utf-8", { ignoreBOM: true });

export const rowsOfJson = (json) => JSON.parse(decoder.decode(json));

// As crates/ndjson/src/values.rs has them.
const TEXT = 0;
const LIST = 1;
const NUMBER = 2;
const TRUE = 3;

/** Objects of what crates/ndjson/src/values.rs writes: slices of one string cost a tenth of JSON that is parsed. */
export function rowsOfValues(texts, words, sharedJson) {
  const { names, members } = JSON.parse(sharedJson);
  const whole = asciiOf(texts, 0, texts.length);
  const rows = [];
  for (let at = 0; at < words.length; ) {
    const begin = words[at + 1];
    // Beyond ASCII a character's place is not its byte's, and one such character doubles the whole string: so it is
    // looked for in ever smaller pieces.
    const text = whole ?? asciiOf(texts, begin, words[at + 2]);
    const base = whole === undefined ? begin : 0;
    const textAt = (place) =>
      text === undefined
        ? decoder.decode(texts.subarray(words[place], words[place + 1]))
        : text.substring(words[place] - base, words[place + 1] - base);
    const row = { ...members };
    let left = words[at];
    at += 3;
    for (; left > 0; left--) {
      const name = names[words[at] & 0xff];
      const kind = words[at] >>> 8;
      at++;
      if (kind === TEXT) {
        row[name] = textAt(at);
        at += 2;
      } else if (kind === LIST) {
        const list = [];
        const end = at + 1 + 2 * words[at];
        for (at++; at < end; at += 2) list.push(textAt(at));
        row[name] = list;
      } else if (kind === NUMBER) {
        row[name] = words[at] * 2 ** 32 + words[at + 1];
        at += 2;
      } else {
        row[name] = kind === TRUE;
      }
    }
    rows.push(row);
  }
  return rows;
}

/** The text of these bytes if all of them are ASCII: only then has it as many characters. */
function asciiOf(texts, begin, end) {
  const text = decoder.decode(texts.subarray(begin, end));
  return text.length === end - begin ? text : undefined;
}
