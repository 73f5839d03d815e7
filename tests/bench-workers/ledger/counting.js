// Firn's ingest Worker as it was built, whose ledgers count their calls and the rows that SQLite reads and writes for them.
import worker, { LedgerObject as Built } from "./worker.js";

export default worker;

export class LedgerObject extends Built {
  #cursors = [];
  #cost = { calls: 0, rowsRead: 0, rowsWritten: 0 };

  constructor(state, env) {
    super(state, env);
    const { sql } = state.storage;
    const exec = sql.exec.bind(sql);
    sql.exec = (...statement) => {
      const cursor = exec(...statement);
      this.#cursors.push(cursor);
      return cursor;
    };
  }

  /** `/cost` tells and forgets what was counted. */
  async fetch(request) {
    if (new URL(request.url).pathname === "/cost") {
      const cost = this.#cost;
      this.#cost = { calls: 0, rowsRead: 0, rowsWritten: 0 };
      return Response.json(cost);
    }
    return this.#counted(() => super.fetch(request));
  }

  call(message) {
    this.#cost.calls++;
    return this.#counted(() => super.call(message));
  }

  alarm(info) {
    return this.#counted(() => super.alarm(info));
  }

  async #counted(work) {
    try {
      return await work();
    } finally {
      for (const cursor of this.#cursors.splice(0)) {
        this.#cost.rowsRead += cursor.rowsRead;
        this.#cost.rowsWritten += cursor.rowsWritten;
      }
    }
  }
}
