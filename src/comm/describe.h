// JSON for tuttiDescribe: what this process could use. Makes no communicator.
#pragma once

#include <string>

namespace tutti::comm {

std::string describeProcess();

}  // namespace tutti::comm
