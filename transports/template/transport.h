// An example of a transport. The folder's entry; other rooms reach it through the registry, and a
// real transport needs no header for it.
#pragma once

#include "transports/registry.h"

namespace tutti::transports::skeleton {

const Backend* backend();

}  // namespace tutti::transports::skeleton
