//! The `groundswell` command.

#[global_allocator]
static ALLOCATOR: groundswell::allocator::MiMalloc = groundswell::allocator::MiMalloc;

fn main() -> std::process::ExitCode {
    groundswell::allocator::tune();
    groundswell::cli::main()
}
