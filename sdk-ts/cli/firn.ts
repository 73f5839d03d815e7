// The program: what package.json calls `firn`.

import { main } from './main.js'

/** Put here by the build. */
declare const FIRN_VERSION: string

void main(process.argv, FIRN_VERSION)
