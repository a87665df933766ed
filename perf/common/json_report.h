// The JSON of -J: the keys of nccl-tests' format version 3, and tutti_version. An existing file is
// kept; the new one gets .0, .1, ... behind its name.
#pragma once

#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "perf/common/report.h"

namespace tutti::perf {

class JsonReport {
 public:
  // Creates the file, so that a path that cannot be written fails at once.
  explicit JsonReport(const Options& options);

  const std::string& path() const { return path_; }
  void start(const std::vector<Device>& devices);
  void rowStart(const Row& row);
  void rowBody(const Measurement& measurement, bool inPlace);
  void rowEnd(int iterations);
  void finish(const Verdict& verdict);
  void write(const std::string& error);

 private:
  const Options& options_;
  std::string path_;
  nlohmann::ordered_json document_;
  nlohmann::ordered_json row_;
};

}  // namespace tutti::perf
