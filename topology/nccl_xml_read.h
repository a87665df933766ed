// Reading of NCCL's and RCCL's files (nccl_xml.h). Private to this folder.
#pragma once

#include <string_view>

#include "src/base/status.h"
#include "topology/machine.h"
#include "topology/xml.h"

namespace tutti::topology {

// What the file says, not yet sanitised. Liberal: attributes may be missing, unknown elements and
// values that make no sense are notes. Only a version that is neither 1 nor 2 is an error.
base::Result<Draft> readNcclXml(const XmlElement& system, std::string_view file);

}  // namespace tutti::topology
