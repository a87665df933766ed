// What the planner searched for, as a text that a later process reads back. Private to this room.
//
//   tutti-plan 1 <CRC32C of what follows, 8 hexadecimal digits> <its length in bytes>
//   <key>
//   order <ranks> <rank> ...
//   trees <flooding: 0 or 1> <number of trees> <ranks>
//   <root> <weight>                                                      for each tree, and for
//   <parent> <number of links> <link> ... <number of links> <link> ...   each of its ranks: links
//                                                                        down from and up to it
#pragma once

#include <string>
#include <string_view>

#include "src/base/status.h"
#include "src/plan/fabric.h"

namespace tutti::plan {

// `key` is one line that says for what `searched` was found.
std::string toPlanFile(std::string_view key, const Searched& searched);

// The opposite, for any text: linear in it, and no value is larger than it. Packing's figures are
// not set (measure). Fails (invalid argument) where the text is damaged, cut, of another format or
// for another key; whether trees and order make sense, planFabric says.
base::Result<Searched> parsePlanFile(std::string_view text, std::string_view key,
                                     ir::Collective collective);

}  // namespace tutti::plan
