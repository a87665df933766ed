// The same from C++: the header is usable there without an extern "C" of the user's own.
#include <tutti/tutti.h>

#include <iostream>

int main() {
  int version = 0;
  if (tuttiGetVersion(&version) != tuttiSuccess || version <= 0) {
    std::cerr << "tuttiGetVersion failed\n";
    return 1;
  }
  std::cout << version << '\n';
  return 0;
}
