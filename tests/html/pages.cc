// SPDX-License-Identifier: Apache-2.0
#include "tests/html/pages.h"

#include <fstream>

namespace gnomon::html_test {

using Json = nlohmann::json;

Json comparison() {
  std::ifstream file(GNOMON_TEST_SOURCE_DIR "/tests/html/fixture.json");
  return Json::parse(file);
}

Json smallest_comparison() {
  Json document = comparison();
  for (const char* name : {"series", "break_even", "options", "counter_info", "cost_model"}) {
    document.erase(name);
  }
  for (Json& backend : document["backends"]) {
    for (const char* name : {"caches", "guest", "relative"}) backend.erase(name);
  }
  return document;
}

Json sweep() {
  Json document = {{"schema", "gnomon.sweep/1"}, {"keys", {"slice", "host_page"}}};
  for (const char* host_page : {"4K", "2M"}) {
    uint64_t scale = host_page[0] == '4' ? 2 : 1;
    for (const char* slice : {"1000", "10000", "100000"}) {
      Json result = comparison();
      for (Json& backend : result["backends"]) {
        for (Json& counter : backend["counters"]) counter = counter.get<uint64_t>() * scale;
        Json& cost = backend["cost"];
        cost["total"] = cost["total"].get<double>() + cost["exits"].get<double>() * (scale - 1.0);
      }
      document["points"].push_back(
          {{"values", {{"slice", slice}, {"host_page", host_page}}}, {"result", result}});
      ++scale;
    }
  }
  return document;
}

Json hostile_comparison() {
  Json document = comparison();
  const std::string hostile(kHostile);
  for (const char* name : {"name", "program", "note", "format"}) {
    document["traces"][0][name] = hostile;
  }
  document["backends"][0]["spec"] = hostile;
  document["backends"][1]["problems"] = {hostile};
  document["series"]["backends"][0]["spec"] = hostile;
  document["break_even"][0]["a"] = hostile;
  document["options"]["guest"][hostile] = hostile;
  document["cost_model"]["prices"][0]["source"] = hostile;
  document["counter_info"][0]["description"] = hostile;
  document["cost_groups"][0]["description"] = hostile;
  for (Json& backend : document["backends"]) backend["guest"]["__proto__"] = 1;
  document["backends"][0]["counters"]["constructor"] = 5;
  return document;
}

Json malformed_comparison() {
  return Json::parse(R"json({
    "schema": 7, "gnomon": null, "traces": [null, 3, {"name": {}}], "options": ["x"],
    "cost_model": {"prices": [null, {"name": 1, "value": "x"}]},
    "references": {"fetch": "1", "load": 10},
    "cost_groups": [null, {"name": 5}], "counter_info": [{"name": "a", "unit": 3}, 8],
    "backends": [null, {"spec": 3, "counters": 7, "cost": []},
      {"spec": "x", "guest": [1], "problems": {"a": 1},
       "counters": {"exit_a": -5, "exit_b": 1e300, "tlb_misses": "7", "walk_guest_l1": 2.5},
       "cost": {"total": 50, "exits": null, "groups": {"p": "x", "q": 1e308},
                "items": [null, {"cycles": {}}]},
       "caches": {"guest": 5, "data": [1, "2", null]}},
      {"spec": "x", "cost": {"total": -9, "exits": 1e300}, "guest": {"faults": "x"},
       "problems": [1, {}]}],
    "break_even": [null, {"a": "x", "b": "y"}, {"a": "x", "b": "x (2)", "factor": -3}],
    "series": {"interval": "x", "names": [1, null],
               "backends": [null, {"spec": [], "points": [5, [1], ["x", 2]]}]}
  })json");
}

}  // namespace gnomon::html_test
