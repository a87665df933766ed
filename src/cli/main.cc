#include "src/cli/commands.h"

int main(int argc, char** argv) { return tutti::cli::runCommandLine(argc, argv); }
