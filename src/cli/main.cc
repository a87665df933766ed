#include <cerrno>
#include <cstdio>
#include <cstring>

#include "src/cli/commands.h"

// Output that nobody got is a failure, whatever else went well.
int main(int argc, char** argv) {
  const int code = tutti::cli::runCommandLine(argc, argv);
  if (std::fflush(stdout) == 0 && std::ferror(stdout) == 0) return code;
  std::fprintf(stderr, "tutti: the output could not be written: %s\n", std::strerror(errno));
  return code != 0 ? code : tutti::cli::kExitPeerFailed;
}
