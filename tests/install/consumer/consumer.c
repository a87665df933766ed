/* The smallest program on an installed Tutti, in C99: prints the library's version. */
#include <stdio.h>
#include <tutti/tutti.h>

int main(void) {
  int version = 0;
  if (tuttiGetVersion(&version) != tuttiSuccess || version <= 0) {
    fprintf(stderr, "tuttiGetVersion failed\n");
    return 1;
  }
  printf("%d\n", version);
  return 0;
}
