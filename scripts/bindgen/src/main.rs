//! wasm-bindgen for one Worker: `firn-bindgen <in.wasm> <out dir>` writes `index.js` and `index_bg.wasm`.
//!
//! The command line of wasm-bindgen must be the library's version to the letter. Built from this workspace, its lock
//! file sees to that, and nothing is installed globally. The flags are those that worker-build 0.8 uses: `module`
//! imports the compiled module as workerd gives it, the reset function and the abort handler let the shim start a
//! fresh instance after a panic.

use std::{env, process::ExitCode};

use wasm_bindgen_cli_support::Bindgen;

fn main() -> ExitCode {
    let args: Vec<String> = env::args().skip(1).collect();
    let [input, out_dir] = args.as_slice() else {
        eprintln!("usage: firn-bindgen <in.wasm> <out dir>");
        return ExitCode::from(2);
    };
    let mut bindgen = Bindgen::new();
    let prepared = bindgen.input_path(input).out_name("index").typescript(false).module(true);
    let generated = match prepared {
        Ok(b) => b
            .reset_state_function(true)
            .force_enable_abort_handler(true)
            .remove_producers_section(true)
            .generate(out_dir),
        Err(error) => Err(error),
    };
    match generated {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("wasm-bindgen {input}: {error:#}");
            ExitCode::FAILURE
        }
    }
}
