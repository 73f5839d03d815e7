//! Prints the README's tables of error codes.

use firn_types::error::{ErrorCode, LineErrorCode};

fn main() {
    println!("| status | code | meaning |\n|---|---|---|");
    for code in ErrorCode::ALL {
        println!("| {} | `{}` | {} |", code.status(), code.as_str(), code.title());
    }
    println!("\n| code of a line | meaning |\n|---|---|");
    for code in LineErrorCode::ALL {
        println!("| `{}` | {} |", code.as_str(), code.meaning());
    }
}
