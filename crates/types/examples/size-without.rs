//! The other half of `size-with`.

mod base;

#[expect(unsafe_code, reason = "an export is what keeps the linker from dropping everything")]
#[unsafe(no_mangle)]
extern "C" fn used(len_bytes: usize) -> usize {
    base::used(&base::text(len_bytes))
}
